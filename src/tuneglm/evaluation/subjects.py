"""The subjects of C-Eval, CMMLU and MMLU by category, as those who published them sort them."""

from collections.abc import Mapping

# category → names of its subjects
Categories = Mapping[str, str]

# arXiv:2305.08322
CEVAL: Categories = {
    "STEM": """
        computer_network operating_system computer_architecture college_programming
        college_physics college_chemistry advanced_mathematics
        probability_and_statistics discrete_mathematics electrical_engineer
        metrology_engineer high_school_mathematics high_school_physics
        high_school_chemistry high_school_biology middle_school_mathematics
        middle_school_biology middle_school_physics middle_school_chemistry
        veterinary_medicine
    """,
    "social sciences": """
        college_economics business_administration marxism mao_zedong_thought
        education_science teacher_qualification high_school_politics
        high_school_geography middle_school_politics middle_school_geography
    """,
    "humanities": """
        modern_chinese_history ideological_and_moral_cultivation logic law
        chinese_language_and_literature art_studies professional_tour_guide
        legal_professional high_school_chinese high_school_history middle_school_history
    """,
    "other": """
        civil_servant sports_science plant_protection basic_medicine clinical_medicine
        urban_and_rural_planner accountant fire_engineer
        environmental_impact_assessment_engineer tax_accountant physician
    """,
}

# arXiv:2306.09212; what is of China alone stands with its field
CMMLU: Categories = {
    "STEM": """
        anatomy astronomy college_actuarial_science college_engineering_hydrology
        college_mathematics college_medical_statistics computer_science
        conceptual_physics electrical_engineering elementary_mathematics genetics
        high_school_biology high_school_chemistry high_school_mathematics
        high_school_physics machine_learning virology
    """,
    "humanities": """
        arts chinese_history chinese_literature college_law global_facts
        international_law jurisprudence logical marxist_theory philosophy
        professional_law world_history world_religions
    """,
    "social sciences": """
        ancient_chinese business_ethics chinese_civil_service_exam chinese_food_culture
        chinese_foreign_policy chinese_teacher_qualification college_education economics
        education elementary_chinese ethnology high_school_geography
        high_school_politics journalism management marketing modern_chinese
        professional_accounting professional_psychology public_relations security_study
        sociology
    """,
    "other": """
        agronomy chinese_driving_rule clinical_knowledge college_medicine
        computer_security construction_project_management elementary_commonsense
        elementary_information_and_technology food_science human_sexuality
        legal_and_moral_basis nutrition professional_medicine sports_science
        traditional_chinese_medicine
    """,
}

# arXiv:2009.03300
MMLU: Categories = {
    "STEM": """
        abstract_algebra anatomy astronomy college_biology college_chemistry
        college_computer_science college_mathematics college_physics computer_security
        conceptual_physics electrical_engineering elementary_mathematics
        high_school_biology high_school_chemistry high_school_computer_science
        high_school_mathematics high_school_physics high_school_statistics
        machine_learning
    """,
    "humanities": """
        formal_logic high_school_european_history high_school_us_history
        high_school_world_history international_law jurisprudence logical_fallacies
        moral_disputes moral_scenarios philosophy prehistory professional_law
        world_religions
    """,
    "social sciences": """
        econometrics high_school_geography high_school_government_and_politics
        high_school_macroeconomics high_school_microeconomics high_school_psychology
        human_sexuality professional_psychology public_relations security_studies
        sociology us_foreign_policy
    """,
    "other": """
        business_ethics clinical_knowledge college_medicine global_facts human_aging
        management marketing medical_genetics miscellaneous nutrition
        professional_accounting professional_medicine virology
    """,
}


def category_of(categories: Categories, subject: str) -> str:
    """Where a subject belongs; `other` for one that is not in the published list."""
    return next((name for name, own in categories.items() if subject in own.split()), "other")


def subjects_in(categories: Categories) -> list[str]:
    """All that were published."""
    return [subject for own in categories.values() for subject in own.split()]
